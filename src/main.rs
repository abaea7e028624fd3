//! The binary: everything is in the library, see [`gainsay::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    gainsay::cli::main()
}
