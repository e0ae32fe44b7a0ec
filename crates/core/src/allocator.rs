//! The parameters of glibc's allocator in worker processes: large blocks return to the system, the heap's end stays.

use pyo3::prelude::*;

/// Sets the parameters of glibc's allocator for this process; without effect on other C libraries.
///
/// A worker process calls it when it starts. The import of the package never does, nor an embedded
/// server: the allocator is the whole program's. A parameter that the environment sets
/// (`MALLOC_ARENA_MAX`, `MALLOC_MMAP_THRESHOLD_`, `MALLOC_TRIM_THRESHOLD_`, `GLIBC_TUNABLES`) is left
/// as it is.
#[pyfunction]
pub(crate) fn set_allocator_parameters() {
    set_parameters();
}

/// glibc raises `M_MMAP_THRESHOLD` with every block above it that is freed, up to 32 MiB, and makes up
/// to 8 arenas per processor: after five uploads of 16 MiB to a pool of threads 32 MiB stayed with the
/// process. A threshold that was set is raised no more.
///
/// Then `M_TRIM_THRESHOLD` stays at 128 KiB too. The buffers of one turn are larger: at the heap's end
/// they were given back and faulted in anew turn by turn (`make bench`: wsgi-echo 10.1 µs with 0.8
/// page faults a request, 7.4 µs with 2 MiB).
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn set_parameters() {
    let tunables = std::env::var("GLIBC_TUNABLES").unwrap_or_default();
    for (parameter, value, variable, tunable) in PARAMETERS {
        if std::env::var_os(variable).is_none() && !tunables.contains(tunable) {
            // SAFETY: mallopt only sets a parameter of the allocator, and locks while it does.
            unsafe { libc::mallopt(parameter, value) };
        }
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn set_parameters() {}

/// Each with its value and the names by which an operator sets it (mallopt(3)).
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const PARAMETERS: [(libc::c_int, libc::c_int, &str, &str); 3] = [
    (
        libc::M_MMAP_THRESHOLD,
        1024 * 1024,
        "MALLOC_MMAP_THRESHOLD_",
        "glibc.malloc.mmap_threshold",
    ),
    (
        libc::M_TRIM_THRESHOLD,
        2 * 1024 * 1024,
        "MALLOC_TRIM_THRESHOLD_",
        "glibc.malloc.trim_threshold",
    ),
    (
        libc::M_ARENA_MAX,
        2,
        "MALLOC_ARENA_MAX",
        "glibc.malloc.arena_max",
    ),
];
