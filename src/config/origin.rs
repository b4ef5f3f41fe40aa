//! The flag that names the tool that migrated a database.

use clap::ValueEnum;
use clap::builder::PossibleValue;

use crate::core::other_tool::Tool;

/// What migrated a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Origin {
    /// The tool is found by its history table.
    #[default]
    Auto,
    /// This tool.
    Tool(Tool),
}

impl Origin {
    /// Its name where the tool is to be found out.
    pub(crate) const AUTO: &'static str = "auto";

    /// The tool, if it is named.
    pub(crate) fn tool(self) -> Option<Tool> {
        match self {
            Self::Auto => None,
            Self::Tool(tool) => Some(tool),
        }
    }
}

impl ValueEnum for Origin {
    fn value_variants<'a>() -> &'a [Self] {
        const VARIANTS: [Origin; Tool::READABLE.len() + 1] = {
            let mut variants = [Origin::Auto; Tool::READABLE.len() + 1];
            let mut index = 0;
            while index < Tool::READABLE.len() {
                variants[index + 1] = Origin::Tool(Tool::READABLE[index]);
                index += 1;
            }
            variants
        };
        &VARIANTS
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        match self {
            Self::Auto => Some(PossibleValue::new(Self::AUTO)),
            Self::Tool(tool) => tool.name().map(PossibleValue::new),
        }
    }
}
