//! Tests that keep `docs/command-line.md` and every command in the documents as the program has
//! them. `UPDATE_DOCS=1 cargo test -p fluoroscope --bin fluoroscope` writes the page.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::{Arg, Command, CommandFactory as _, Parser as _};

use crate::arguments::Arguments;

const INTRODUCTION: &str = "\
# The command line

Written from the program's own definitions by a test (`src-tauri/src/command_line_page.rs`), which \
fails when this page is stale; do not edit it by hand.

`fluoroscope` alone opens the window, `fluoroscope FOLDER` and `fluoroscope FILE.fluoroscope` open it \
on a project.
Every job of the window is also a command; `fluoroscope help <noun> <verb>` prints what stands here.
A command ends with status 0 when it did what was asked, 2 when the request was wrong, with one \
sentence that says what is and what was expected, and 1 for anything else; `project check` ends with \
1 when it finds damage.
Results go to standard output, progress and warnings to standard error.
A command that only reads its \
project works while a window has it open, as the project is then, and a note says so; one that \
writes is refused, and so are `project check` and `project backup`, which need a project that keeps \
still.
";

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// The whole page.
fn page() -> String {
    let mut command = Arguments::command();
    command.build();
    let mut page = INTRODUCTION.to_owned();
    page.push_str("\n## For every command\n\n");
    options(&mut page, &command, true);
    for noun in command.get_subcommands() {
        if noun.get_name() == "help" || noun.is_hide_set() {
            continue;
        }
        write!(page, "\n## {}\n\n{}.\n", noun.get_name(), about(noun)).unwrap();
        let mut verbs = noun
            .get_subcommands()
            .filter(|verb| verb.get_name() != "help" && !verb.is_hide_set())
            .peekable();
        if verbs.peek().is_none() {
            details(&mut page, noun);
        }
        for verb in verbs {
            let name = format!("{} {}", noun.get_name(), verb.get_name());
            write!(page, "\n### {name}\n\n{}.\n", about(verb)).unwrap();
            details(&mut page, verb);
        }
    }
    page
}

fn about(command: &Command) -> String {
    let about = command.get_about().map(ToString::to_string);
    cell(about.unwrap_or_default().trim_end_matches('.'))
}

/// Usage, arguments and examples of one command.
fn details(page: &mut String, command: &Command) {
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ").replace('\n', " ");
    let words: Vec<_> = usage.split_whitespace().collect();
    write!(page, "\n```text\n{}\n```\n\n", words.join(" ")).unwrap();
    options(page, command, false);
    let examples = examples(command);
    if !examples.is_empty() {
        write!(page, "\n```text\n{}\n```\n", examples.join("\n")).unwrap();
    }
}

/// The example commands of a command's help.
fn examples(command: &Command) -> Vec<String> {
    let help = command.get_after_help().map(ToString::to_string);
    help.unwrap_or_default()
        .lines()
        .filter_map(|line| line.find("fluoroscope ").map(|at| line[at..].to_owned()))
        .collect()
}

/// A table of arguments: those that every command has, or the command's own.
fn options(page: &mut String, command: &Command, global: bool) {
    let mut rows = String::new();
    for argument in command.get_arguments() {
        let id = argument.get_id().as_str();
        if argument.is_hide_set()
            || argument.is_global_set() != global
            || id == "help"
            || id == "version"
        {
            continue;
        }
        let help = argument.get_help().map(ToString::to_string);
        writeln!(
            rows,
            "| `{}` | {} |",
            written(argument).replace('|', "\\|"),
            cell(&(help.unwrap_or_default() + &values(argument)))
        )
        .unwrap();
    }
    if !rows.is_empty() {
        write!(page, "| argument | meaning |\n|---|---|\n{rows}").unwrap();
    }
}

/// An argument as a user types it.
fn written(argument: &Arg) -> String {
    let many = argument
        .get_num_args()
        .is_some_and(|range| range.max_values() > 1);
    let repeated = many || matches!(argument.get_action(), clap::ArgAction::Append);
    let dots = if repeated { " …" } else { "" };
    let takes = argument.get_action().takes_values();
    let name = argument
        .get_value_names()
        .and_then(|names| names.first())
        .map_or_else(
            || argument.get_id().as_str().to_uppercase(),
            ToString::to_string,
        );
    match argument.get_long() {
        None if argument.is_required_set() => format!("{name}{dots}"),
        None => format!("[{name}]{dots}"),
        Some(long) if takes => format!("--{long} {name}{dots}"),
        Some(long) => format!("--{long}"),
    }
}

/// What may be given, what is taken without, and whether it must be there.
fn values(argument: &Arg) -> String {
    let mut said = String::new();
    let choices: Vec<_> = argument
        .get_possible_values()
        .iter()
        .filter(|value| !value.is_hide_set())
        .map(|value| format!("`{}`", value.get_name()))
        .collect();
    if argument.get_action().takes_values() && !choices.is_empty() {
        write!(said, "; one of {}", choices.join(", ")).unwrap();
    }
    let defaults: Vec<_> = argument
        .get_default_values()
        .iter()
        .map(|value| format!("`{}`", value.to_string_lossy()))
        .collect();
    if argument.get_action().takes_values() && !defaults.is_empty() {
        write!(said, "; without it {}", defaults.join(", ")).unwrap();
    }
    if argument.is_required_set() && argument.get_long().is_some() {
        said.push_str("; required");
    }
    said
}

/// Text that may stand in a table and in Markdown.
fn cell(text: &str) -> String {
    let words: Vec<_> = text.split_whitespace().collect();
    words
        .join(" ")
        .replace('|', "\\|")
        .replace('<', "&lt;")
        .replace(".; ", "; ")
}

/// README and all pages of `docs`, in the order of their names.
fn pages() -> Vec<PathBuf> {
    let mut pages = vec![root().join("README.md")];
    for entry in std::fs::read_dir(root().join("docs")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "md") {
            pages.push(path);
        }
    }
    pages.sort();
    pages
}

/// The commands of a shell's text, each as its words: quotes and comments are read, the rest not.
fn commands(text: &str) -> Vec<Vec<String>> {
    let text = text.replace("\\\n", " ");
    let mut commands = vec![Vec::new()];
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        match (quote, c) {
            (Some(open), _) if c == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '#') if word.is_none() => {
                while characters.peek().is_some_and(|next| *next != '\n') {
                    characters.next();
                }
            }
            (None, '\n' | ';' | '&' | '|' | '>' | '<' | ' ' | '\t') => {
                commands.last_mut().unwrap().extend(word.take());
                if !matches!(c, ' ' | '\t') {
                    commands.push(Vec::new());
                }
            }
            _ => word.get_or_insert_default().push(c),
        }
    }
    commands.last_mut().unwrap().extend(word);
    commands.retain(|words| !words.is_empty());
    commands
}

/// The words of a command from the program's own name on, if it starts this program.
fn own_words(words: &[String]) -> Option<Vec<&str>> {
    let words: Vec<&str> = words
        .iter()
        .map(String::as_str)
        .skip_while(|word| ["do", "then", "!"].contains(word))
        .collect();
    match words.as_slice() {
        [first, ..] if *first == "fluoroscope" || first.ends_with("/fluoroscope") => Some(words),
        ["cargo", "run", rest @ ..]
            if !rest.contains(&"-p") && !rest.contains(&"--manifest-path") =>
        {
            let at = rest.iter().position(|word| *word == "--")?;
            Some(
                std::iter::once("fluoroscope")
                    .chain(rest[at + 1..].iter().copied())
                    .collect(),
            )
        }
        _ => None,
    }
}

#[test]
fn the_page_of_the_command_line_is_not_stale() {
    let path = root().join("docs/command-line.md");
    let page = page();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap();
    let differs = page
        .lines()
        .zip(found.lines())
        .find(|(new, old)| new != old);
    assert!(
        page == found,
        "docs/command-line.md is stale, first at {differs:?}: UPDATE_DOCS=1 cargo test -p \
         fluoroscope --bin fluoroscope writes it"
    );
}

/// Those that a test cannot run are at least commands and options that the program has.
#[test]
fn every_command_of_the_documents_is_understood() {
    let mut n_understood = 0;
    for path in pages() {
        let page = std::fs::read_to_string(&path).unwrap();
        for block in page.split("```sh").skip(1) {
            let (_, text) = block.split_once('\n').unwrap();
            let (text, _) = text.split_once("```").unwrap();
            for words in commands(text) {
                let Some(words) = own_words(&words) else {
                    continue;
                };
                if let Err(error) = Arguments::try_parse_from(&words) {
                    assert!(
                        !error.use_stderr(),
                        "{}: {}\n{error}",
                        path.display(),
                        words.join(" ")
                    );
                }
                n_understood += 1;
            }
        }
    }
    assert!(
        n_understood > 100,
        "only {n_understood} commands were found"
    );
}

#[test]
fn every_command_has_an_example_that_is_understood() {
    let mut command = Arguments::command();
    command.build();
    let mut waiting: Vec<_> = command.get_subcommands().collect();
    while let Some(command) = waiting.pop() {
        if command.get_name() == "help" {
            continue;
        }
        waiting.extend(command.get_subcommands());
        if command.has_subcommands() {
            continue;
        }
        let examples = examples(command);
        assert!(!examples.is_empty(), "{}", command.get_name());
        for words in examples.iter().flat_map(|example| commands(example)) {
            let Some(words) = own_words(&words) else {
                continue;
            };
            if let Err(error) = Arguments::try_parse_from(&words) {
                panic!("{}\n{error}", words.join(" "));
            }
        }
    }
}

#[test]
fn the_help_on_a_terminal_has_no_marks_of_code() {
    let mut waiting = vec![crate::arguments::plain(Arguments::command())];
    while let Some(mut command) = waiting.pop() {
        for help in [command.render_help(), command.render_long_help()] {
            let help = help.to_string();
            assert!(!help.contains('`'), "{}: {help}", command.get_name());
        }
        waiting.extend(command.get_subcommands().cloned());
    }
}

#[test]
fn a_shells_text_is_read_as_words() {
    let text = "a 'b c' \"d\" # e\nfor D in x; do\n  fluoroscope f \\\n g; done && h > i";
    let read = commands(text);
    assert_eq!(read[0], ["a", "b c", "d"]);
    assert_eq!(read[2], ["do"]);
    assert_eq!(own_words(&read[3]).unwrap(), ["fluoroscope", "f", "g"]);
    assert_eq!(read.last().unwrap(), &["i"]);
    assert!(own_words(&read[0]).is_none());
}
