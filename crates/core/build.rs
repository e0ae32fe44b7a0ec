//! Makes `Py_GIL_DISABLED` and its like visible to `cfg!`.

fn main() {
    pyo3_build_config::use_pyo3_cfgs();
}
