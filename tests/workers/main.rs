//! `trial-workers`: the workers' program with the jobs of tests and benches.

use std::process::ExitCode;

use harness::trial_jobs::{REGISTER, SCHEDULES};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    workers::program::main(&REGISTER, &SCHEDULES)
}
