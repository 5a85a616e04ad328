//! Colours and marks: words come first, colour only adds.

use super::args::ColorChoice;
use std::io::IsTerminal;

/// How output is dressed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style {
    out: Dress,
    err: Dress,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dress {
    Plain,
    Coloured,
}

/// Where a text goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    Out,
    Err,
}

/// What a colour means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Paint {
    /// Settled.
    Good,
    /// Waiting.
    Waiting,
    /// Needs a person.
    Bad,
    /// Less important.
    Dim,
    /// More important.
    Strong,
}

impl Style {
    pub(super) fn of(choice: ColorChoice) -> Style {
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty() && value != "0");
        let dress = |terminal: bool| match choice {
            ColorChoice::Always => Dress::Coloured,
            ColorChoice::Never => Dress::Plain,
            ColorChoice::Auto if set("NO_COLOR") => Dress::Plain,
            ColorChoice::Auto if terminal || set("CLICOLOR_FORCE") => Dress::Coloured,
            ColorChoice::Auto => Dress::Plain,
        };
        Style {
            out: dress(std::io::stdout().is_terminal()),
            err: dress(std::io::stderr().is_terminal()),
        }
    }

    pub(super) fn paint(self, stream: Stream, paint: Paint, text: &str) -> String {
        let dress = match stream {
            Stream::Out => self.out,
            Stream::Err => self.err,
        };
        if dress == Dress::Plain {
            return text.to_owned();
        }
        let code = match paint {
            Paint::Good => "32",
            Paint::Waiting => "33",
            Paint::Bad => "31",
            Paint::Dim => "2",
            Paint::Strong => "1",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}
