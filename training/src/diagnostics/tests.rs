//! Every number of the diagnostics against one worked out by hand or by brute force.

use super::*;
