//! Answer, remember, resolve: ARP
