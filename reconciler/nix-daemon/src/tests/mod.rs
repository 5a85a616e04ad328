//! The client against a daemon that says exactly what a test wrote down.

mod scripted;

mod greeting;
mod hostile;
mod messages;
mod pipelined;
mod progress;
mod replies;
mod stream;
mod time;
mod transfer;
mod wire;
