#include "cli/interrupt.h"

#include <unistd.h>

namespace minimax::cli {
namespace {

// The only thing a signal handler may portably write to.
volatile std::sig_atomic_t interrupted = 0;

void on_interrupt(int) {
  interrupted = 1;
}

}  // namespace

Interrupt::Interrupt() {
  clear();
  struct sigaction action{};
  action.sa_handler = on_interrupt;
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, &before_);
}

Interrupt::~Interrupt() {
  sigaction(SIGINT, &before_, nullptr);
}

bool Interrupt::requested() const {
  return interrupted != 0;
}
void Interrupt::clear() {
  interrupted = 0;
}

HiddenKeys::HiddenKeys() {
  if (tcgetattr(STDIN_FILENO, &before_) != 0) return;  // no terminal
  termios quiet = before_;
  quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO);
  changed_ = tcsetattr(STDIN_FILENO, TCSADRAIN, &quiet) == 0;
}

HiddenKeys::~HiddenKeys() {
  if (changed_) tcsetattr(STDIN_FILENO, TCSADRAIN, &before_);
}

}  // namespace minimax::cli
