//! How a subcommand ends: fine, the work failed, or the call was wrong.

use std::fmt::{Arguments, Display};
use std::io::{ErrorKind, Write as _};
use std::process::ExitCode;

/// Why a subcommand did not do what it was asked.
#[derive(Debug)]
pub enum Failure {
    /// The work failed: exit code 1.
    Work(anyhow::Error),
    /// The call was wrong (an option, a folder, a project file): exit code 2.
    Call(String),
}

/// How a subcommand ends.
pub type Outcome = Result<(), Failure>;

impl Failure {
    /// The call was wrong, for this reason.
    pub fn call(reason: impl Display) -> Self {
        Self::Call(reason.to_string())
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Work(error.into())
    }
}

/// Prints a failure to standard error and gives the exit code.
#[expect(clippy::print_stderr, reason = "the one place where a failure is told to a person")]
pub fn code(outcome: Outcome) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Work(error)) => {
            eprintln!("error: {}", told(&error));
            ExitCode::from(1)
        }
        Err(Failure::Call(reason)) => {
            eprintln!("error: {reason}");
            ExitCode::from(2)
        }
    }
}

/// The message and its causes, but those that the message tells already.
fn told(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |told, cause| match told.as_str() {
        "" => cause,
        text if text.contains(&cause) => told,
        text => format!("{text}: {cause}"),
    })
}

/// Prints an answer, formatted as by `format!`, and a line end to standard output.
macro_rules! say {
    ($($text:tt)*) => { $crate::exit::print(format_args!($($text)*)) };
}
pub(crate) use say;

/// Tells a person something on standard error, where standard output carries data.
#[expect(clippy::print_stderr, reason = "standard output carries data")]
pub fn tell(text: &str) {
    eprintln!("{text}");
}

/// See [`say`]. A reader that has seen enough (`| head`) ends the process in peace; any other fault of standard
/// output ends it with 1, since the answer would be lost.
#[expect(clippy::print_stderr, reason = "standard output is what failed")]
pub fn print(text: Arguments<'_>) {
    if let Err(error) = writeln!(std::io::stdout(), "{text}") {
        if error.kind() == ErrorKind::BrokenPipe {
            std::process::exit(0);
        }
        eprintln!("error: standard output: {error}");
        std::process::exit(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context as _;

    #[test]
    fn a_cause_is_told_once() {
        let cause = || Err::<(), _>(anyhow::anyhow!("no space"));
        assert_eq!(told(&cause().context("t.csv").unwrap_err()), "t.csv: no space");
        assert_eq!(told(&cause().context("t.csv: no space").unwrap_err()), "t.csv: no space");
    }
}
