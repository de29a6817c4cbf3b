//! Commands without a window: each calls `engine` and prints what it made.

use std::path::{Path, PathBuf};

use engine::views::{FeatureQuery, FeatureSort, ImportRequest, InteractionsRequest, RunState};
use engine::{
    EngineError, HarvestRequest, JobContext, RecommenderFile, Result, Session,
    TrainRecommenderRequest,
};
use schema::FeatureId;
use serde_json::json;

use crate::ablation;
use crate::arguments::{
    Arch, BenchCommand, Command, DatasetCommand, FeaturesCommand, HarvestCommand,
    InteractionsArguments, ModelCommand, PhantomKind, ProjectCommand, SaeCommand,
};
use crate::opening;
use crate::text::{self, Answer};

/// Runs a command in the project that `--project` or the current folder names.
pub(crate) fn run(command: &Command, project: Option<&Path>, job: &JobContext) -> Result<Answer> {
    let open = || opening::open(project, opening::only_reads(command));
    match command {
        Command::Demo { dir, seed, .. } => {
            let dir = dir
                .clone()
                .unwrap_or_else(|| PathBuf::from("fluoroscope-demo"));
            let (_, report) = engine::demo::build(&dir, *seed, job)?;
            Ok(text::demo(&report))
        }
        Command::Project(command) => run_project(command, &open, job),
        Command::Dataset(command) => run_dataset(command, &open()?, job),
        Command::Model(ModelCommand::Run(arguments)) => {
            let session = project.map(opening::open_reading).transpose()?;
            crate::run::run(arguments, session.as_ref(), job)
        }
        Command::Model(ModelCommand::Inspect { path, weights }) => {
            let estimate = engine::inspect_model(path, weights.as_deref())?;
            Ok(Answer::new(json!(estimate), text::memory(&estimate)))
        }
        Command::Model(command) => run_model(command, &open()?, job),
        Command::Harvest(command) => run_harvest(command, &open()?, job),
        Command::Sae(command) => run_sae(command, project, &open, job),
        Command::Features(command) => run_features(command, &open()?, job),
        Command::Explain(command) => crate::concepts::explain(command, &open()?, job),
        Command::Review(command) => crate::review::run(command, &open()?, job),
        Command::Steer(arguments) => crate::steering::steer(arguments, &open()?, job),
        Command::Ablate(arguments) => ablation::ablate(arguments, &open()?, job),
        Command::Debias(arguments) => ablation::debias(arguments, &open()?, job),
        Command::Report(arguments) => crate::report::report(arguments, &open()?, job),
        Command::About => crate::installation::about(),
        Command::Bench(BenchCommand::Sae { input }) => {
            let speeds = engine::bench_sae(input.as_deref(), job)?;
            let lines = speeds.lines();
            Ok(Answer::new(json!(speeds), lines))
        }
        Command::Bench(BenchCommand::Recommenders { path, epochs }) => {
            let speed = engine::bench_recommenders(path.as_deref(), *epochs, job)?;
            let lines = speed.lines();
            Ok(Answer::new(json!(speed), lines))
        }
        Command::Open { .. } | Command::Bench(_) => {
            Err(EngineError::other("this command is run elsewhere"))
        }
    }
}

fn run_project(
    command: &ProjectCommand,
    open: &dyn Fn() -> Result<Session>,
    job: &JobContext,
) -> Result<Answer> {
    match command {
        ProjectCommand::New { dir } => {
            Session::create(dir)?;
            Ok(Answer::new(
                json!({ "project": dir }),
                format!("Made the project {}\n", dir.display()),
            ))
        }
        ProjectCommand::Info => {
            let session = open()?;
            let value = json!({
                "project": session.root(),
                "datasets": session.dataset_views()?,
                "models": session.model_views()?,
                "dictionaries": session.dictionary_views()?,
            });
            Ok(Answer::new(value.clone(), text::project_info(&value)))
        }
        ProjectCommand::Check => {
            let session = open()?;
            let (n_files, faults) = session.check(job)?;
            let lines: Vec<String> = faults
                .iter()
                .map(|(file, what)| format!("{file}: {what}"))
                .collect();
            let mut answer = Answer::new(
                json!({ "files": n_files, "faults": lines }),
                if lines.is_empty() {
                    format!("All {n_files} files are as they were recorded\n")
                } else {
                    lines.join("\n") + "\n"
                },
            );
            answer.failed = !lines.is_empty();
            Ok(answer)
        }
        ProjectCommand::Backup { file } => {
            open()?.backup(file, job)?;
            Ok(Answer::new(
                json!({ "backup": file }),
                format!("Wrote {}\n", file.display()),
            ))
        }
        ProjectCommand::Restore { file, dir } => {
            engine::restore(file, dir, job)?;
            Ok(Answer::new(
                json!({ "project": dir }),
                format!("Restored {} to {}\n", file.display(), dir.display()),
            ))
        }
    }
}

fn path_text(path: &Path) -> String {
    path.display().to_string()
}

fn optional(path: Option<&PathBuf>) -> String {
    path.map(|path| path_text(path)).unwrap_or_default()
}

fn import(
    session: &Session,
    request: &ImportRequest,
    only_preview: bool,
    job: &JobContext,
) -> Result<Answer> {
    let preview = if only_preview {
        engine::import::preview(request, job)?
    } else {
        session.import(request, job)?
    };
    Ok(text::import(&preview, only_preview))
}

fn run_dataset(command: &DatasetCommand, session: &Session, job: &JobContext) -> Result<Answer> {
    match command {
        DatasetCommand::ImportRadiographs {
            name,
            images,
            table,
            columns,
            labels,
            boxes,
            preview,
        } => {
            let request = ImportRequest::Radiographs {
                name: name.clone(),
                images: path_text(images),
                table: optional(table.as_ref()),
                columns: columns.clone(),
                labels: optional(labels.as_ref()),
                boxes: optional(boxes.as_ref()),
            };
            import(session, &request, *preview, job)
        }
        DatasetCommand::ImportReports {
            name,
            table,
            columns,
            labels,
            preview,
        } => {
            let request = ImportRequest::Reports {
                name: name.clone(),
                table: path_text(table),
                columns: columns.clone(),
                labels: optional(labels.as_ref()),
            };
            import(session, &request, *preview, job)
        }
        DatasetCommand::ImportInteractions(arguments) => {
            let request = interactions_request(arguments);
            import(session, &request, arguments.preview, job)
        }
        DatasetCommand::Phantom {
            name,
            kind,
            count,
            seed,
        } => {
            let (name, count, seed) = (name.clone(), *count, *seed);
            let request = match kind {
                PhantomKind::Radiographs => ImportRequest::PhantomRadiographs { name, count, seed },
                PhantomKind::Shoppers => ImportRequest::PhantomShoppers { name, count, seed },
            };
            import(session, &request, false, job)
        }
        DatasetCommand::List | DatasetCommand::Show { .. } => show_datasets(command, session),
    }
}

fn interactions_request(arguments: &InteractionsArguments) -> ImportRequest {
    ImportRequest::Interactions(InteractionsRequest {
        name: arguments.name.clone(),
        path: path_text(&arguments.path),
        layout: arguments.layout.clone(),
        columns: arguments.columns.clone(),
        items: optional(arguments.items.as_ref()),
        split: arguments.split.clone(),
        min_rating: arguments.min_rating.clone().unwrap_or_default(),
        core: arguments.core.clone().unwrap_or_default(),
    })
}

fn show_datasets(command: &DatasetCommand, session: &Session) -> Result<Answer> {
    let DatasetCommand::Show { name, sample } = command else {
        let views = session.dataset_views()?;
        return Ok(Answer::new(
            json!({ "datasets": views }),
            text::datasets(&views),
        ));
    };
    if let Some(sample) = sample {
        let index = session.find_sample(name, sample)?;
        let view = session.sample_view(name, index)?;
        return Ok(Answer::new(json!(view), text::sample(&view)));
    }
    let view = session
        .dataset_views()?
        .into_iter()
        .find(|view| view.manifest.name == *name)
        .ok_or_else(|| EngineError::request(format!("the project has no dataset {name}")))?;
    let listed = text::datasets(std::slice::from_ref(&view));
    Ok(Answer::new(json!(view), listed))
}

fn train_model(command: &ModelCommand, session: &Session, job: &JobContext) -> Result<Answer> {
    let ModelCommand::Train {
        name,
        arch,
        dataset,
        config,
        lr,
        epochs,
        seed,
    } = command
    else {
        return Err(EngineError::other("this command trains nothing"));
    };
    let settings = config.as_ref().map(|path| read(path)).transpose()?;
    match arch {
        Arch::PhantomVlm => {
            let outcome =
                session.train_phantom_vlm(name, settings.as_deref(), *epochs, *seed, job)?;
            let lines = text::phantom_training(name, &outcome);
            Ok(Answer::new(outcome, lines))
        }
        arch => {
            let dataset = dataset.as_deref().ok_or_else(|| {
                EngineError::request("training a recommender needs --dataset NAME")
            })?;
            let request = TrainRecommenderRequest {
                name: name.clone(),
                arch: arch.name().to_owned(),
                dataset: dataset.to_owned(),
                settings: settings.unwrap_or_default(),
                lr: *lr,
                epochs: *epochs,
                seed: *seed,
            };
            train_recommender(session, &request, job)
        }
    }
}

/// Trains a recommender.
fn train_recommender(
    session: &Session,
    request: &TrainRecommenderRequest,
    job: &JobContext,
) -> Result<Answer> {
    let trained = session.train_recommender(request, job)?;
    let lines = format!(
        "Trained {} in {:.0} s; {}\n",
        trained.model,
        trained.seconds,
        trained.kept()
    );
    Ok(Answer::new(json!(trained), lines))
}

fn run_model(command: &ModelCommand, session: &Session, job: &JobContext) -> Result<Answer> {
    match command {
        ModelCommand::Run(_) | ModelCommand::Inspect { .. } => {
            Err(EngineError::other("this command is run elsewhere"))
        }
        ModelCommand::Add {
            name,
            path,
            weights,
            recommender,
            dataset,
        } => {
            let file = crate::run::recommender_file(recommender);
            let view = if dataset.is_some() || file != RecommenderFile::default() {
                session.add_recommender(name, path, &file, dataset.as_deref())?
            } else {
                session.add_model(name, path, weights.as_deref())?
            };
            Ok(Answer::new(json!(view), text::models(&[view])))
        }
        ModelCommand::Train { .. } => train_model(command, session, job),
        ModelCommand::Evaluate {
            name,
            dataset,
            split,
            sae,
        } => {
            let split = ablation::ranked_split(split)?;
            let report = session.evaluate_ranking(name, dataset, split, sae.as_deref())?;
            let mut value = json!(report.by_name());
            if let Some(reconstructed) = report.reconstructed_by_name() {
                value["reconstructed"] = json!(reconstructed);
                value["kept"] = json!(report.kept);
            }
            let lines = text::ranked(&report) + &text::figures(&value);
            value["n_cases"] = json!(report.n_cases);
            value["n_users"] = json!(report.n_users);
            Ok(Answer::new(value, lines))
        }
        ModelCommand::List => {
            let views = session.model_views()?;
            Ok(Answer::new(
                json!({ "models": views }),
                text::models(&views),
            ))
        }
    }
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path)
        .map_err(|error| EngineError::request(format!("{}: {error}", path.display())))
}

fn run_harvest(command: &HarvestCommand, session: &Session, job: &JobContext) -> Result<Answer> {
    match command {
        HarvestCommand::Run {
            name,
            model,
            dataset,
            hook,
            positions,
            limit,
            pool,
        } => {
            let outcome = session.harvest(
                &HarvestRequest {
                    name: name.clone(),
                    model: model.clone(),
                    dataset: dataset.clone(),
                    hook: hook.parse().map_err(EngineError::from)?,
                    positions: positions.clone(),
                    limit: *limit,
                    pool: *pool,
                },
                job,
            )?;
            let resumed = if outcome.n_resumed > 0 {
                format!(" ({} were there already)", outcome.n_resumed)
            } else {
                String::new()
            };
            Ok(Answer::new(
                json!(outcome),
                format!(
                    "Recorded {} rows in {} shard{}{resumed}\n",
                    outcome.n_rows,
                    outcome.n_shards,
                    if outcome.n_shards == 1 { "" } else { "s" }
                ),
            ))
        }
        HarvestCommand::List => {
            let harvests = session.harvests()?;
            let lines = text::harvests(&harvests);
            Ok(Answer::new(json!({ "harvests": harvests }), lines))
        }
    }
}

/// What works without a project, and what needs one.
fn run_sae(
    command: &SaeCommand,
    project: Option<&Path>,
    open: &dyn Fn() -> Result<Session>,
    job: &JobContext,
) -> Result<Answer> {
    match command {
        SaeCommand::Presets => Ok(crate::train_sae::presets()),
        SaeCommand::Train(arguments) if arguments.input.is_some() => {
            crate::loose_sae::train(arguments, job)
        }
        SaeCommand::Encode {
            sae,
            input,
            target,
            output,
            k,
        } => {
            let request = engine::EncodeRequest {
                sae: sae.clone(),
                input: input.clone(),
                target: target.clone(),
                output: output.clone(),
                k: *k,
            };
            crate::loose_sae::encode(&request, project)
        }
        SaeCommand::Export {
            sae,
            format,
            out,
            k,
        } => {
            let request = engine::ExportRequest {
                sae: sae.clone(),
                format: format.clone(),
                out: out.clone(),
                k: *k,
            };
            crate::loose_sae::export(&request, project)
        }
        command => run_sae_here(command, &open()?, job),
    }
}

fn run_sae_here(command: &SaeCommand, session: &Session, job: &JobContext) -> Result<Answer> {
    match command {
        SaeCommand::Encode { .. } | SaeCommand::Export { .. } | SaeCommand::Presets => {
            Err(EngineError::other("this command is run elsewhere"))
        }
        SaeCommand::Train(arguments) => crate::train_sae::train_here(arguments, session, job),
        SaeCommand::Resume { name } => {
            let evaluation = session.resume_sae(name, job)?;
            Ok(text::evaluation(name, &evaluation))
        }
        SaeCommand::Forecast(arguments) => crate::train_sae::forecast(arguments, session, job),
        SaeCommand::Import(arguments) => crate::foreign_sae::import(arguments, session, job),
        SaeCommand::Locate {
            sae,
            model,
            dataset,
            hooks,
        } => crate::foreign_sae::locate(
            &engine::LocateRequest {
                sae: sae.clone(),
                model: model.clone(),
                dataset: dataset.clone(),
                hooks: hooks.clone(),
            },
            session,
            job,
        ),
        SaeCommand::Evaluate(arguments) => crate::evaluation::evaluate(arguments, session, job),
        SaeCommand::List => {
            let views = session.dictionary_views()?;
            let mut stopped = session.run_views()?;
            stopped.retain(|run| matches!(run.state, RunState::Recording | RunState::Training));
            let lines = text::dictionaries(&views) + &text::stopped_runs(&stopped);
            Ok(Answer::new(
                json!({ "dictionaries": views, "stopped": stopped }),
                lines,
            ))
        }
    }
}

fn run_features(command: &FeaturesCommand, session: &Session, job: &JobContext) -> Result<Answer> {
    match command {
        FeaturesCommand::Index { sae } => {
            session.build_feature_index(sae, job)?;
            Ok(Answer::new(
                json!({ "sae": sae }),
                format!("Indexed the features of {sae}\n"),
            ))
        }
        FeaturesCommand::List { sae, count } => list_features(
            session,
            sae,
            *count,
            &FeatureQuery {
                sort: FeatureSort::Density,
                ..FeatureQuery::default()
            },
        ),
        FeaturesCommand::Search { sae, text } => list_features(
            session,
            sae,
            usize::MAX,
            &FeatureQuery {
                text: text.clone(),
                ..FeatureQuery::default()
            },
        ),
        FeaturesCommand::Export(arguments) => {
            crate::packet::export_features(arguments, session, job)
        }
        FeaturesCommand::Show { sae, feature } => {
            let page = session.feature_page(sae, FeatureId(*feature))?;
            Ok(Answer::new(json!(page), text::feature(&page)))
        }
        FeaturesCommand::Trace {
            sae,
            feature,
            sample,
            position,
            method,
        } => {
            let dataset = session.dataset_of(sae)?;
            let view = session.trace_to_image(&engine::TraceRequest {
                sae: sae.clone(),
                feature: FeatureId(*feature),
                sample: session.find_sample(&dataset, sample)?,
                position: *position,
                method: engine::parse_method(method)?,
            })?;
            Ok(Answer::new(json!(view), text::trace(&view)))
        }
        FeaturesCommand::Firing { sae, sample } => {
            let dataset = session.dataset_of(sae)?;
            let index = session.find_sample(&dataset, sample)?;
            let firing = session.firing_on(sae, index)?;
            let lines = text::firing(&firing);
            Ok(Answer::new(json!({ "features": firing }), lines))
        }
        FeaturesCommand::Associations { sae } => {
            let confirmed = session.confirmed_associations(sae, job)?;
            Ok(text::associations(&confirmed))
        }
    }
}

fn list_features(
    session: &Session,
    sae: &str,
    count: usize,
    query: &FeatureQuery,
) -> Result<Answer> {
    let ids = session.feature_ids(sae, query)?;
    let cards = ids
        .iter()
        .take(count)
        .map(|&id| session.feature_card(sae, id))
        .collect::<Result<Vec<_>>>()?;
    let lines = text::first_cards(&cards, ids.len());
    let json = json!({ "features": cards, "n_features": ids.len() });
    Ok(Answer::new(json, lines))
}
