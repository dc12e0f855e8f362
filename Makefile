.PHONY: help setup demo test check bench firmware clean

help:
	@echo 'make setup   install what is missing, make .venv, build MicroPython'
	@echo 'make demo    a fleet of five, updated and attacked, on this machine'
	@echo 'make test    every test'
	@echo 'make check   linters, types, import rules, device code through mpy-cross'
	@echo 'make bench   what it costs, beside references measured in the same run'
	@echo 'make firmware BOARD=virt_rv32   the firmware of a board, with the agent frozen in'
	@echo 'make clean   remove .venv and build (the cache of MicroPython stays)'

setup:
	@scripts/setup

demo:
	@scripts/demo

test:
	@scripts/test

check:
	@scripts/check

bench:
	@scripts/bench

firmware: setup
	@.venv/bin/python scripts/firmware --sizes $(or $(BOARD),virt_rv32)

clean:
	@scripts/clean
