//! The transaction's state machine: its whole way forth, every way back, and no third end.

