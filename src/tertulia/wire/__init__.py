"""The dialects that programs speak to us and we to providers: their shapes, as structs and bytes. No I/O."""
