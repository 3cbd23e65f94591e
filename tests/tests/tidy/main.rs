//! The rules of the house, as tests: what a reviewer would otherwise have to remember.

mod dependencies;
mod documents;
mod manifests;
mod routes;
mod settings;
mod sources;
mod tree;
