//! The program: everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    // A file's name may be any bytes; whoever opens it looks them up.
    let words = std::env::args_os().map(|word| word.to_string_lossy().into_owned());
    sipguard::cli::main(&words.collect::<Vec<_>>())
}
