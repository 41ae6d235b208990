//! Is this code in one library that all cells share?
//!
//! The kernel makes one shared object of each cell. Linked statically, each holds its own copy of every `static` of every
//! dependency, among them the counter from which dfdx names its tensors. Names then collide between cells, and a backward
//! pass panics or, worse, gives a wrong gradient in silence. In the prebuilt `liblimbeck` there is one copy for all cells.

use std::path::Path;
use std::sync::atomic::AtomicU8;

use crate::{Error, Result};

/// Lives where the statics of this library live, and is looked up by its address.
static MARK: AtomicU8 = AtomicU8::new(0);

/// Checks that the statics of this library are in a shared object of its own, named `liblimbeck`.
///
/// One call answers: no counter has to be read from a second cell.
///
/// # Errors
/// They are in anything else (a cell, a program), or the system does not tell; the message says which, and what to do.
#[inline(never)]
pub fn check_shared() -> Result<()> {
    judge(object_of((&raw const MARK).cast()).as_deref())
}

fn judge(object: Option<&str>) -> Result<()> {
    const WHY: &str =
        "Every cell would get its own copy of dfdx's tensor ids, and gradients would be wrong without a word.";
    const REMEDY: &str =
        "Use the kernel `limbeck` (python3 notebooks/tools/setup.py, then restart it), and no `:dep limbeck`.";
    let Some(object) = object else {
        return Err(Error::invalid(format_args!(
            "cannot tell which file limbeck was loaded from, so cannot rule out that it is linked into this cell. {WHY} {REMEDY}"
        )));
    };
    let name = Path::new(object).file_name().unwrap_or_default().to_string_lossy();
    if name.starts_with("liblimbeck") && [".so", ".dylib"].iter().any(|end| name.ends_with(end)) {
        return Ok(());
    }
    Err(Error::invalid(format_args!(
        "limbeck is linked into {name}, not loaded as the shared library liblimbeck. {WHY} {REMEDY}"
    )))
}

/// The file that the dynamic loader mapped at `address`.
#[cfg(unix)]
fn object_of(address: *const std::ffi::c_void) -> Option<String> {
    use std::{
        ffi::{CStr, c_char, c_int, c_void},
        ptr::null,
    };

    /// `Dl_info` of dlfcn.h, the same on every Unix that has it.
    #[repr(C)]
    struct Info {
        file: *const c_char,
        base: *const c_void,
        symbol: *const c_char,
        symbol_address: *const c_void,
    }
    unsafe extern "C" {
        fn dladdr(address: *const c_void, info: *mut Info) -> c_int;
    }

    let mut info = Info { file: null(), base: null(), symbol: null(), symbol_address: null() };
    // SAFETY: `info` outlives the call, which writes nothing else and only compares `address`.
    let found = unsafe { dladdr(address, &mut info) } != 0;
    if !found || info.file.is_null() {
        return None;
    }
    // SAFETY: the loader gives a NUL-terminated name that stays as long as the object is loaded, and it is never unloaded.
    Some(unsafe { CStr::from_ptr(info.file) }.to_string_lossy().into_owned())
}

#[cfg(not(unix))]
fn object_of(_address: *const std::ffi::c_void) -> Option<String> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_shared_library_will_do() {
        for good in ["/x/liblimbeck.so", "/x/liblimbeck.dylib", "liblimbeck-0123abcd.so"] {
            judge(Some(good)).unwrap();
        }
        for bad in
            ["/x/libcode_1.so", "/x/liblimbeck.so.d/libcode_2.so", "target/release/limbeck", "/x/liblimbeck.rlib", ""]
        {
            let refused = judge(Some(bad)).unwrap_err().to_string();
            assert!(refused.contains("setup.py"), "{refused}");
        }
        assert!(judge(None).unwrap_err().to_string().contains("cannot tell"));
    }

    #[test]
    #[cfg(unix)]
    fn the_test_program_itself_is_found_and_refused() {
        let program = std::env::current_exe().unwrap();
        let found = object_of((&raw const MARK).cast()).unwrap();
        assert_eq!(Path::new(&found).file_name(), program.file_name());
        let refused = check_shared().unwrap_err().to_string();
        assert!(refused.contains("linked into"), "{refused}");
    }
}
