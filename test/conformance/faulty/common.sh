# For the plugins in this folder: the real bridge, in whose words or deeds each of them is wrong in one way.
conf=$(cat)

# Calls the real one with the same environment.
real() {
  printf %s "$conf" | "$REAL/bridge"
}

# What it prints when it fails goes through "$@".
filtered_error() {
  output=$(real)
  status=$?
  if [ $status -eq 0 ]; then
    printf %s "$output"
  else
    printf '%s\n' "$output" | "$@"
  fi
  exit $status
}

# What it prints when an ADD succeeds goes through "$@".
filtered_result() {
  output=$(real)
  status=$?
  if [ $status -eq 0 ] && [ "$CNI_COMMAND" = ADD ]; then
    printf '%s\n' "$output" | "$@"
  else
    printf %s "$output"
  fi
  exit $status
}

# A CNI error of its own.
refuse() {
  printf '{"cniVersion":"1.1.0","code":%s,"msg":"%s"}\n' "$1" "$2"
  exit 1
}
