//! Tests of the engine as a whole.

mod bug_classes;
mod decisions;
mod golden;
mod money;
mod months;
mod periods;
mod properties;
mod tenant;
mod walks;
