//! The first call of a notebook: the check of how the library is linked, and a panic hook that Jupyter can see.

use std::{
    io::Write,
    panic::{Location, PanicHookInfo},
    sync::Once,
};

use super::{check_shared, job, strict};

/// Exit status of a cell's process that this module ends.
const STATUS: i32 = 101;

/// Prepares the kernel for the cells that follow; belongs in the first cell. A second call does nothing.
///
/// - Ends the process, with the reason and the remedy, unless this library is loaded as the one shared `liblimbeck`
///   ([`check_shared`]). Ending it is what the kernel reports as an error; a panic would be a successful cell.
/// - Makes a panic print one line `PANIC: message (file:line)` instead of a backtrace. With `NB_STRICT` set it then ends the
///   process with status 101, and the headless run fails. Panics inside a [`Job`](super::Job) are its result instead.
pub fn init() {
    if let Err(why) = check_shared() {
        say(format_args!("notebook::init refuses to go on: {why}"));
        std::process::exit(STATUS);
    }
    HOOK.call_once(|| std::panic::set_hook(Box::new(on_panic)));
}

/// Whether this is a notebook that somebody looks at: [`init`] was called, and the run is not [`strict`].
pub(crate) fn attended() -> bool {
    HOOK.is_completed() && !strict()
}

static HOOK: Once = Once::new();

fn on_panic(info: &PanicHookInfo) {
    let text = describe(info.payload(), info.location());
    if job::keep_panic(&text) {
        return;
    }
    say(format_args!("PANIC: {text}"));
    if strict() {
        std::process::exit(STATUS);
    }
}

/// One flushed line on stdout: stderr may not reach the cell before it ends.
fn say(line: std::fmt::Arguments) {
    let mut out = std::io::stdout().lock();
    // Where stdout is gone there is no notebook left to tell.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

fn describe(payload: &dyn std::any::Any, location: Option<&Location>) -> String {
    let message = job::panic_message(payload);
    match location {
        Some(at) => format!("{message} ({}:{})", short(at.file()), at.line()),
        None => message.to_owned(),
    }
}

/// `dfdx-0.13.0/src/x.rs` of a path into cargo's registry: the part before it is this machine's business.
fn short(file: &str) -> &str {
    file.split_once("/registry/src/").and_then(|(_, rest)| rest.split_once('/')).map_or(file, |(_, inside)| inside)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_one_line_with_its_place() {
        let here = Location::caller();
        assert_eq!(describe(&"lost", Some(here)), format!("lost ({}:{})", here.file(), here.line()));
        assert_eq!(describe(&String::from("lost"), None), "lost");
        assert_eq!(describe(&17_u8, None), "a panic without a message");
    }

    #[test]
    fn the_path_of_a_dependency_starts_at_its_name() {
        assert_eq!(
            short("/home/me/.cargo/registry/src/index-0a1b/dfdx-0.13.0/src/tensor.rs"),
            "dfdx-0.13.0/src/tensor.rs"
        );
        assert_eq!(short("src/notebook/init.rs"), "src/notebook/init.rs");
    }
}
