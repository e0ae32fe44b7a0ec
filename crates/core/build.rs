//! Makes `Py_GIL_DISABLED` and its like visible to `cfg!`, and the module linkable without maturin.

fn main() {
    pyo3_build_config::use_pyo3_cfgs();
    pyo3_build_config::add_extension_module_link_args();
}
