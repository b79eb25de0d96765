// The keyboard while an answer streams: Ctrl-C as a flag to look at, other keys kept from the screen.
#pragma once

#include <termios.h>

#include <csignal>

namespace minimax::cli {

/// While one lives, Ctrl-C sets a flag; before and after, it ends the program as usual. One at a time. read(2) is not
/// restarted after the signal.
class Interrupt {
 public:
  Interrupt();
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  bool requested() const;
  void clear();

 private:
  struct sigaction before_;
};

/// While one lives, keys that are pressed do not show on the terminal; they are read later.
class HiddenKeys {
 public:
  HiddenKeys();
  ~HiddenKeys();
  HiddenKeys(const HiddenKeys&) = delete;
  HiddenKeys& operator=(const HiddenKeys&) = delete;

 private:
  termios before_{};
  bool changed_ = false;
};

}  // namespace minimax::cli
