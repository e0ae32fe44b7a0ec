//! Applications of the server's own: each answers requests without Python.

pub mod compress;
pub mod files;
pub mod health;
pub mod layer;
pub mod redirect;
