//! The front door of a machine.
