//! The documents as tests read them.

use std::path::{Path, PathBuf};

/// A block of shell commands on a page.
pub(crate) struct Block {
    /// The commands.
    pub(crate) commands: String,
    /// Whether the block is marked as one to run.
    pub(crate) runs: bool,
}

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

/// What a line of a page stands in.
enum Within {
    /// No block.
    Text,
    /// A block of shell commands.
    Shell(Block),
    /// A block of anything else, and whether it says of what.
    Other { is_marked: bool },
}

/// The blocks of a page that are marked `sh`, or `sh norun` where they need a model, a download, a
/// display or hours. A block of commands without a mark is refused: nothing would check it.
pub(crate) fn blocks_of(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut within = Within::Text;
    for line in page.lines() {
        let line = line.trim_end();
        within = match (within, line) {
            (Within::Text, "```sh" | "```sh norun") => Within::Shell(Block {
                commands: String::new(),
                runs: line == "```sh",
            }),
            (Within::Text, _) => {
                assert!(!line.starts_with("```sh"), "\"{line}\" is no known mark");
                if line.starts_with("```") {
                    let is_marked = line != "```";
                    Within::Other { is_marked }
                } else {
                    Within::Text
                }
            }
            (Within::Shell(block), "```") => {
                blocks.push(block);
                Within::Text
            }
            (Within::Shell(mut block), _) => {
                block.commands.push_str(line);
                block.commands.push('\n');
                Within::Shell(block)
            }
            (Within::Other { .. }, "```") => Within::Text,
            (Within::Other { is_marked }, _) => {
                let is_command = ["fluoroscope ", "cargo "]
                    .iter()
                    .any(|program| line.trim_start().starts_with(program));
                assert!(
                    is_marked || !is_command,
                    "\"{line}\" stands in a block without a mark: sh, sh norun or text"
                );
                Within::Other { is_marked }
            }
        };
    }
    assert!(matches!(within, Within::Text), "a block is not closed");
    blocks
}

/// The commands of a page that are to run.
pub(crate) fn commands_of(page: &str) -> String {
    let blocks = blocks_of(page).into_iter();
    blocks
        .filter(|block| block.runs)
        .map(|block| block.commands)
        .collect()
}
