//! Log rows against those that a real server wrote.
