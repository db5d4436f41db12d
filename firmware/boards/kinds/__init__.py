"""The kinds of boards, one module each: its constant `KIND` is a `firmware.boards.board.BoardKind`."""
