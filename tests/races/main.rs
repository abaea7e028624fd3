//! Requests that are sent at the same instant: what only shows then is found, explained by why no order of them fits, and
//! boiled down to the smallest race; and a server that does one thing after the other is never blamed.

mod seats;
