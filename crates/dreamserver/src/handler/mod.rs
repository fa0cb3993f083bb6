//! What gives the answer to a request: files, a proxy, a redirect, or fixed text.

pub mod proxy;
