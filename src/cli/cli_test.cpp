// The parts of the program that can be tested without starting it; tests/cli starts it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <clocale>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "cli/command_words.h"
#include "cli/completion.h"
#include "cli/help.h"
#include "cli/line_editor.h"
#include "cli/parse.h"
#include "cli/settings.h"
#include "cli/suggest.h"
#include "cli/terminal.h"
#include "cli/usage_error.h"

namespace minimax::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(Suggest, CountsEdits) {
  EXPECT_EQ(edit_distance("", "abc"), 3);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3);
  EXPECT_EQ(edit_distance("rnu", "run"), 1);  // a swap is one edit
  EXPECT_EQ(edit_distance("same", "same"), 0);
}

TEST(Suggest, FindsWhatWasMeant) {
  const std::vector<std::string> verbs = {"run", "chat", "tokenize", "inspect"};
  EXPECT_EQ(nearest("rnu", verbs), "run");
  EXPECT_EQ(nearest("tokenise", verbs), "tokenize");
  EXPECT_EQ(nearest("insp", verbs), "inspect");  // cut short
  EXPECT_EQ(nearest("banana", verbs), "");
}

TEST(Terminal, MeasuresColumnsNotBytes) {
  std::setlocale(LC_CTYPE, "C.UTF-8");
  EXPECT_EQ(display_width("abc"), 3);
  EXPECT_EQ(display_width("héllo"), 5);
  EXPECT_EQ(display_width("世界"), 4);
  EXPECT_EQ(display_width("e\u0301"), 1);   // combining acute
  EXPECT_EQ(display_width("\xff\xfe"), 2);  // shown as a replacement character each
  EXPECT_EQ(fit("abcdef", 4), "abc…");
  EXPECT_EQ(fit("世界世界", 5), "世界…");
  EXPECT_EQ(fit("abc", 3), "abc");
  EXPECT_EQ(shortened("one two three", 13), "one two three");
  EXPECT_EQ(shortened("one two three", 10), "one two … (6 more characters)");
}

TEST(Terminal, SaysNumbersForPeople) {
  EXPECT_EQ(human_bytes(0), "0 B");
  EXPECT_EQ(human_bytes(999), "999 B");
  EXPECT_EQ(human_bytes(1'500), "1.50 kB");
  EXPECT_EQ(human_bytes(912'179'310'592), "912 GB");
  EXPECT_EQ(human_count(456'089'655'296), "456 B");
  EXPECT_EQ(human_count(45'900), "45.9 k");
  EXPECT_EQ(human_seconds(0.0421), "42 ms");
  EXPECT_EQ(human_seconds(3.21), "3.2 s");
  EXPECT_EQ(human_seconds(125), "2 min 5 s");
}

TEST(Terminal, TableAlignsByColumns) {
  std::setlocale(LC_CTYPE, "C.UTF-8");
  Terminal terminal;
  Table table({{"name"}, {"bytes", Table::Align::kRight}});
  table.row({"世", "1"});
  table.row({"abc", "1000"});
  EXPECT_EQ(table.text(terminal), "name  bytes\n世        1\nabc    1000\n");
}

TEST(Lines, BackslashGoesOn) {
  EXPECT_TRUE(join_lines({"a\\"}).more);
  EXPECT_FALSE(join_lines({"a\\", "b"}).more);
  EXPECT_EQ(join_lines({"a\\", "b"}).text, "a\nb");
  EXPECT_EQ(join_lines({"plain"}).text, "plain");
}

TEST(Lines, FencesHoldSeveralLines) {
  EXPECT_TRUE(join_lines({"\"\"\""}).more);
  EXPECT_TRUE(join_lines({"\"\"\"", "a \"q\"\\"}).more);
  const Continuation fenced = join_lines({"\"\"\"", "a\\", "", "b", "\"\"\""});
  EXPECT_FALSE(fenced.more);
  EXPECT_EQ(fenced.text, "a\\\n\nb");
  EXPECT_EQ(join_lines({"\"\"\"one line\"\"\""}).text, "one line");
  EXPECT_EQ(join_lines({"\"\"\"a", "b\"\"\""}).text, "a\nb");
  EXPECT_TRUE(join_lines({"\"\"\"\""}).more);  // four quotes open, and do not close
}

TEST(Lines, WideTextAndBack) {
  std::setlocale(LC_CTYPE, "C.UTF-8");
  const std::string text = "a é 世 👍";
  const std::wstring wide = to_wide(text);
  EXPECT_EQ(wide.size(), 7u);
  EXPECT_EQ(to_utf8(wide.data(), wide.size()), text);
  EXPECT_EQ(to_wide("\xff"), L"\xFFFD");
}

// A small program to parse against: "go" with one flag of each kind.
struct Probe {
  int count = 1;
  std::optional<double> rate;
  bool fast = false, map = true;
  std::string color = "red";
  std::vector<std::string> stops;
  Command program;

  Probe() {
    Command go{.name = "go", .arguments = {{"WHERE", "", ValueKind::kFolder}}};
    go.number("-c,--count", count, "N", "", "1", 0, 10);
    go.number("--rate", rate, "X", "");
    go.flag("--fast", fast, "");
    go.negative_flag("--no-map", map, "");
    go.choice<std::string>("--color", color, "C", "", {{"red", "red"}, {"blue", "blue"}}, "red");
    go.text("--max-stop", stops, "TEXT", "");
    go.text("--config", config, "FILE", "").from_settings = false;
    go.mark("-h,--help", "");
    program = {.name = "probe", .verbs = {go, Command{.name = "help"}, Command{.name = "version"}}};
    program.mark("-h,--help", "");
  }
  std::string config;

  Command& parse(std::vector<const char*> words) {
    words.insert(words.begin(), "probe");
    GlobalOptions global;
    return parse_command_line(program, global, static_cast<int>(words.size()), words.data());
  }
  std::string problem(const std::vector<const char*>& words) {
    try {
      parse(words);
    } catch (const UsageError& error) {
      return error.what();
    }
    return "none";
  }
};

class ParseTest : public testing::Test {
 protected:
  void SetUp() override {
    home_ = std::filesystem::temp_directory_path() / ("minimax_cli_test_" + std::to_string(getpid()));
    std::filesystem::create_directories(home_ / "minimax");
    setenv("XDG_CONFIG_HOME", home_.c_str(), 1);
  }
  void TearDown() override {
    std::filesystem::remove_all(home_);
    for (const char* name : {"MINIMAX_COUNT", "MINIMAX_FAST", "MINIMAX_NO_MAP", "MINIMAX_MAX_STOP", "MINIMAX_CONFIG"})
      unsetenv(name);
  }
  void write_config(const std::string& text) { std::ofstream(home_ / "minimax/config.toml") << text; }

  std::filesystem::path home_;
};

TEST_F(ParseTest, TakesFlagsAndArguments) {
  Probe probe;
  const Command& verb = probe.parse({"go", "here", "-c", "7", "--rate=-1.5", "--fast", "--no-map", "--color", "blue",
                                     "--max-stop", "a", "--max-stop", "-b"});
  EXPECT_EQ(verb.name, "go");
  EXPECT_THAT(verb.words, ElementsAre("here"));
  EXPECT_EQ(probe.count, 7);
  EXPECT_EQ(probe.rate, -1.5);
  EXPECT_TRUE(probe.fast);
  EXPECT_FALSE(probe.map);
  EXPECT_EQ(probe.color, "blue");
  EXPECT_THAT(probe.stops, ElementsAre("a", "-b"));
}

TEST_F(ParseTest, TheLastOfARepeatedFlagCounts) {
  Probe probe;
  probe.parse({"go", "--count", "2", "--count", "3"});
  EXPECT_EQ(probe.count, 3);
}

TEST_F(ParseTest, AVerbsNameCanBeAnArgument) {
  Probe probe;
  EXPECT_THAT(probe.parse({"go", "help"}).words, ElementsAre("help"));
  EXPECT_THAT(probe.parse({"go", "--", "--fast"}).words, ElementsAre("--fast"));
}

TEST_F(ParseTest, BracketsAreNotTakenApart) {
  Probe probe;
  EXPECT_THAT(probe.parse({"go", "[1, 2]", "--max-stop", "[a,b]", "--max-stop=[c,d]"}).words, ElementsAre("[1, 2]"));
  EXPECT_THAT(probe.stops, ElementsAre("[a,b]", "[c,d]"));
}

TEST_F(ParseTest, SaysWhatIsWrong) {
  Probe probe;
  EXPECT_EQ(probe.problem({"og"}), "unknown verb \"og\"; did you mean go?");
  EXPECT_EQ(probe.problem({"banana"}), "unknown verb \"banana\"");
  EXPECT_EQ(probe.problem({"go", "--conut=3"}), "unknown flag \"--conut\"; did you mean --count?");
  EXPECT_EQ(probe.problem({"go", "-x"}), "unknown flag \"-x\"; did you mean -c?");
  EXPECT_EQ(probe.problem({"go", "--count", "x"}), "--count: \"x\" is not a whole number");
  EXPECT_EQ(probe.problem({"go", "--count", "3.5"}), "--count: \"3.5\" is not a whole number");
  EXPECT_EQ(probe.problem({"go", "--count", "11"}), "--count: 11 is not between 0 and 10");
  EXPECT_EQ(probe.problem({"go", "--count", "99999999999"}), "--count: 99999999999 is not between 0 and 10");
  EXPECT_EQ(probe.problem({"go", "--rate", "nan"}), "--rate: nan is too large");
  EXPECT_EQ(probe.problem({"go", "--color", "green"}), "--color: \"green\" is not one of red, blue");
  EXPECT_THAT(probe.problem({"go", "--count"}), HasSubstr("--count"));
}

TEST_F(ParseTest, HelpWinsOverWhatIsWrong) {
  Probe probe;
  EXPECT_EQ(probe.parse({"go", "--banana", "--help"}).name, "help");
  EXPECT_THAT(probe.parse({"go", "-h"}).words, ElementsAre("go"));
  EXPECT_EQ(probe.parse({}).name, "help");
}

TEST_F(ParseTest, FlagBeatsEnvironmentBeatsFile) {
  write_config("count = 2\nfast = true\n[go]\nmax-stop = ['x', 'y']\n");
  {
    Probe probe;
    probe.parse({"go"});
    EXPECT_EQ(probe.count, 2);
    EXPECT_TRUE(probe.fast);
    EXPECT_THAT(probe.stops, ElementsAre("x", "y"));
  }
  setenv("MINIMAX_COUNT", "3", 1);
  setenv("MINIMAX_FAST", "0", 1);
  setenv("MINIMAX_NO_MAP", "yes", 1);
  {
    Probe probe;
    probe.parse({"go"});
    EXPECT_EQ(probe.count, 3);
    EXPECT_FALSE(probe.fast);
    EXPECT_FALSE(probe.map);
  }
  Probe probe;
  probe.parse({"go", "--count", "4"});
  EXPECT_EQ(probe.count, 4);
}

TEST_F(ParseTest, AVerbsTableBeatsTheTop) {
  write_config("count = 2\n[go]\ncount = 5\n");
  Probe probe;
  probe.parse({"go"});
  EXPECT_EQ(probe.count, 5);
}

TEST_F(ParseTest, UnderscoresMayStandForDashes) {
  write_config("max_stop = 'x'\n");
  Probe probe;
  probe.parse({"go"});
  EXPECT_THAT(probe.stops, ElementsAre("x"));
}

TEST_F(ParseTest, SettingsAreNamedWithTheirLine) {
  write_config("# a comment\ncuont = 2\n");
  EXPECT_THAT(Probe().problem({"go"}), HasSubstr("config.toml:2: unknown setting \"cuont\"; did you mean \"count\"?"));
  write_config("[og]\ncount = 2\n");
  EXPECT_THAT(Probe().problem({"go"}), HasSubstr("config.toml:1: [og] is not a verb; did you mean [go]?"));
  write_config("count = 77\n");
  EXPECT_THAT(Probe().problem({"go"}), HasSubstr("config.toml:1: 77 is not between 0 and 10"));
  write_config("\ncount 2\n");
  EXPECT_THAT(Probe().problem({"go"}), HasSubstr("config.toml:2: "));
  setenv("MINIMAX_COUNT", "many", 1);
  write_config("");
  EXPECT_EQ(Probe().problem({"go"}), "MINIMAX_COUNT: \"many\" is not a whole number");
}

TEST_F(ParseTest, ANamedConfigFileMustBeThere) {
  Probe probe;
  EXPECT_THROW(probe.parse({"go", "--config", "/nowhere.toml"}), Error);
  std::ofstream(home_ / "other.toml") << "count = 9\n";
  probe.parse({"go", "--config", (home_ / "other.toml").c_str()});
  EXPECT_EQ(probe.count, 9);
}

// Every flag of every verb: in the help, in the completions, with a name no other flag of the verb has.
TEST(Program, EveryFlagIsDescribedAndCompleted) {
  GlobalOptions global;
  const Command program = define_program(global);
  Terminal terminal;
  const std::string bash = completion_script(program, "bash"), zsh = completion_script(program, "zsh"),
                    fish = completion_script(program, "fish");
  for (const Command& verb : program.verbs) {
    const std::string help = help_text(verb, terminal);
    EXPECT_FALSE(verb.examples.empty()) << verb.name;
    EXPECT_FALSE(verb.summary.empty()) << verb.name;
    EXPECT_THAT(help, HasSubstr("Examples"));
    std::vector<std::string> seen;
    for (const Flag& flag : verb.flags) {
      EXPECT_FALSE(flag.help.empty()) << verb.name << " " << flag.key();
      for (const std::string& name : flag.names) {
        EXPECT_THAT(seen, testing::Not(testing::Contains(name))) << verb.name;
        seen.push_back(name);
        EXPECT_THAT(help, HasSubstr(name));
        EXPECT_THAT(bash, HasSubstr(name));
        EXPECT_THAT(zsh, HasSubstr(name));
      }
      EXPECT_THAT(fish, HasSubstr("-l " + flag.key()));
    }
  }
}

}  // namespace
}  // namespace minimax::cli
