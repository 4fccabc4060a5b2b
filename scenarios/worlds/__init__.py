"""What scenarios set up, do by hand and wait for, shared by the tests of several shapes."""
