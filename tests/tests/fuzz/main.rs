//! What reads text from strangers, fed with generated text: nothing panics, nothing forged gets in, and what is
//! accepted is what the rule says. `deploy/test --soak fuzz` runs each target for minutes.
//!
//! A failure prints `BOLERO_RANDOM_SEED=…`, which repeats it when it is set. What it found is kept as a file in
//! `__fuzz__/<file>__fuzz/crashes/`, and run first ever after; for the targets that take text the file is that
//! text, and bytes past ASCII are words of the target's list ([`input::text`]).

mod access_token;
mod allowlist;
mod api_key;
mod context;
mod forwarded;
mod host_name;
mod input;
mod path;
mod route_choice;
mod route_table;
