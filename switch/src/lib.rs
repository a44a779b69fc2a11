//! The engine and its control: workers, the journey of a frame, networks, state, API
