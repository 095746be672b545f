"""What services may know of one another: messages, events, faults and the operations of contracts."""
