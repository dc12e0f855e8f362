"""What the server decides: values in, values out; no database, broker, file or clock."""
