//! Image encoders under study and what is done to a film before them.
