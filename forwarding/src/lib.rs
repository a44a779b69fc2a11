//! Admit, learn, look up, flood, route: the MAC table and the route table
