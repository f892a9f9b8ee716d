# Programs that may do whatever but change the mount table, or but unmount

profile ovlt_no_mount flags=(attach_disconnected) {
  file,
  capability,
  network,
  signal,
  ptrace,
  unix,
}

profile ovlt_no_umount flags=(attach_disconnected) {
  file,
  capability,
  network,
  signal,
  ptrace,
  unix,
  mount,
}
