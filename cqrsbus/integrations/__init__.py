"""Other libraries, joined to the bus; each module needs the library that it is named after."""
