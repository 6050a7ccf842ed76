"""What a network costs on this machine: bytes and seconds."""
