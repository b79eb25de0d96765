#include "cli/verbs.h"

int main(int argc, char** argv) {
  return minimax::cli::run_program(argc, argv);
}
