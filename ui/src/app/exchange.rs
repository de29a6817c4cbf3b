//! Commands for what comes in from other tools and goes out to them: the forms, and their jobs.

use crate::app::App;
use crate::backend::Answer;
use crate::commands::{Command, ExchangeCommand, Screen};

impl App {
    /// Shows a form, or asks the engine for what one says.
    pub(super) fn exchange(&mut self, asked: ExchangeCommand) -> Answer<()> {
        let backend = &self.backend;
        match asked {
            ExchangeCommand::ShowTraining => {
                self.screens.train.show_training();
                self.screen = Screen::Train;
                Ok(())
            }
            ExchangeCommand::ShowImport => {
                self.screens.train.show_import();
                self.screen = Screen::Train;
                Ok(())
            }
            ExchangeCommand::ShowAddModel => {
                self.screens.models.show_add();
                self.screen = Screen::Models;
                Ok(())
            }
            ExchangeCommand::ShowExport(sae) => {
                let sae = sae.or_else(|| self.dictionary_at_hand());
                self.screens.evaluate.show_export(sae);
                self.screen = Screen::Evaluate;
                Ok(())
            }
            ExchangeCommand::Import(request) => backend
                .import_sae(*request)
                .map(|job| self.screens.train.import.job.waits_for(job)),
            ExchangeCommand::AddModel(request) => backend
                .add_model(*request)
                .map(|job| self.screens.models.add.job.waits_for(job)),
            ExchangeCommand::Decisions { sae, what, file } => backend
                .exchange_decisions(&sae, what, &file)
                .map(|job| self.screens.review.elsewhere.job.waits_for(job)),
            ExchangeCommand::Export(request) => backend
                .export_sae(*request)
                .map(|job| self.screens.evaluate.export.job.waits_for(job)),
        }
    }
    /// Previews or imports data; the form learns of its job.
    pub(super) fn ask_import(&mut self, asked: Command) -> Answer<()> {
        match asked {
            Command::PreviewImport(request) => {
                let job = self.backend.preview_import(request);
                self.screens.data.previews(job.as_ref().ok().copied());
                job.map(drop)
            }
            Command::Import(request) => {
                let job = self.backend.import(request)?;
                self.screens.data.imports(job);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}
