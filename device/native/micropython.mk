# The user C module _pawl_native; it wants a firmware whose TLS is mbedTLS.
SRC_USERMOD_C += $(USERMOD_DIR)/pawl_native.c
CFLAGS_USERMOD += -DPAWL_NATIVE=1
