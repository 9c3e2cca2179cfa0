#pragma once

/// Marks the classes and functions that other shared objects (`_core`, `_torch`) may use.
#define SMDDP_API __attribute__((visibility("default")))
