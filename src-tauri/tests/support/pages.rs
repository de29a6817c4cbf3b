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

/// The blocks of a page that are marked `sh`, or `sh norun` where they need a model, a download, a
/// display or hours.
pub(crate) fn blocks_of(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut block: Option<Block> = None;
    for line in page.lines() {
        match (&mut block, line.trim_end()) {
            (None, "```sh") => {
                block = Some(Block {
                    commands: String::new(),
                    runs: true,
                });
            }
            (None, "```sh norun") => {
                block = Some(Block {
                    commands: String::new(),
                    runs: false,
                });
            }
            (None, other) => assert!(!other.starts_with("```sh"), "\"{other}\" is no known mark"),
            (Some(_), "```") => blocks.extend(block.take()),
            (Some(open), text) => {
                open.commands.push_str(text);
                open.commands.push('\n');
            }
        }
    }
    assert!(block.is_none(), "a block is not closed");
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
