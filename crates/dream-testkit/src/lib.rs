//! What the tests drive DreamServer with: raw sockets, real processes, scripted origins.
