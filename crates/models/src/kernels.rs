//! Fast loops on plain slices for the CPU: matrix products and what goes on between them.
