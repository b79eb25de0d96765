// The verbs: each lives in a file of its own, with its flags and what it does.
#pragma once

#include "cli/command.h"
#include "cli/options.h"
#include "cli/serve.h"
#include "cli/terminal.h"

namespace minimax::cli {

/// What every verb gets besides its own options.
struct Session {
  Terminal& terminal;
  const GlobalOptions& global;
  const Command& program;
};

Command define_run();
Command define_chat();
Command define_serve();
Command define_forward();
Command define_tokenize();
Command define_inspect();
Command define_plan();
Command define_quantize();
Command define_calibrate();
Command define_perplexity();
Command define_verify();
Command define_bench();
Command define_doctor();
Command define_train_sft();
Command define_train_rl();
Command define_train_tokenizer();
Command define_train_merge();
Command define_train_grad();
Command define_train_data();
Command define_train_score();
Command define_train_verify();
Command define_completion();
Command define_version();
Command define_help();

int run_verb(const HelpOptions& options, Session& session);
int run_verb(const VersionOptions& options, Session& session);
int run_verb(const CompletionOptions& options, Session& session);
int run_verb(const RunOptions& options, Session& session);
int run_verb(const ChatOptions& options, Session& session);
int run_verb(const ServeOptions& options, Session& session);
int run_verb(const ForwardOptions& options, Session& session);
int run_verb(const TokenizeOptions& options, Session& session);
int run_verb(const InspectOptions& options, Session& session);
int run_verb(const BenchOptions& options, Session& session);
int run_verb(const DoctorOptions& options, Session& session);

/// The whole program: parses, runs the verb, turns errors into exit codes (0 ok, 1 failed, 2 usage).
int run_program(int argc, const char* const* argv);

}  // namespace minimax::cli
