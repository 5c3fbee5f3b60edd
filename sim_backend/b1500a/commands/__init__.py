"""The commands of the FLEX language, one module a subject; `index` knows every one."""
