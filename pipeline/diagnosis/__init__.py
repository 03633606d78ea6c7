"""Why a method scores as it does: the stage `diagnose`. Reads predictions; trains nothing."""
