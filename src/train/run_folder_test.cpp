#include "train/run_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "io/atomic_file.h"
#include "io/file.h"
#include "io/test_folder.h"
#include "train/report.h"
#include "train/tensorboard.h"

namespace minimax::train {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::SizeIs;

TEST(RunFolder, KeepsTheNewestAndTheBest) {
  test::Folder folder;
  RunFolder run(folder / "run");
  EXPECT_FALSE(run.is_used());
  for (const int64_t step : {10, 20, 30, 40})
    run.save(step, [&](const auto& path) { io::write_file(path / "x", std::to_string(step)); });
  EXPECT_TRUE(run.is_used());
  run.prune(2, 10);
  EXPECT_THAT(run.checkpoints(), ElementsAre(10, 30, 40));
  EXPECT_EQ(io::read_file(run.checkpoint(30) / "x"), "30");
}

TEST(RunFolder, ACheckpointThatWasNotFinishedIsNotThere) {
  test::Folder folder;
  {
    RunFolder run(folder / "run");
    run.save(1, [](const auto& path) { io::write_file(path / "x", "old"); });
    EXPECT_ANY_THROW(run.save(1, [](const auto& path) {
      io::write_file(path / "x", "new");
      throw Error(ErrorKind::kIo, "the disk is full");
    }));
    EXPECT_EQ(io::read_file(run.checkpoint(1) / "x"), "old");
  }
  const RunFolder again(folder / "run");
  EXPECT_THAT(again.checkpoints(), ElementsAre(1));
  EXPECT_FALSE(std::filesystem::exists(folder / "run/checkpoints/.step-000001"));
}

TEST(RunFolder, ForgetsWhatIsDoneAgain) {
  test::Folder folder;
  RunFolder run(folder / "run");
  for (int64_t step = 1; step <= 4; ++step) run.append(run.metrics_file(), {{"step", step}, {"loss", 0.5}});
  io::write_file(run.metrics_file(), io::read_file(run.metrics_file()) + "{\"step\": 5, \"lo");  // killed while writing
  run.forget_after(2);
  EXPECT_THAT(read_jsonl(run.metrics_file()), SizeIs(2));
  run.append(run.metrics_file(), {{"step", 3}});
  EXPECT_THAT(read_jsonl(run.metrics_file()), SizeIs(3));
}

TEST(TensorBoard, WritesRecordsThatTheirSumsMatch) {
  // RFC 3720, B.4.
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8A9136AAu);
  EXPECT_EQ(crc32c("123456789"), 0xE3069283u);
  test::Folder folder;
  {
    TensorBoard board(folder.path(), 1000.5);
    const std::pair<std::string, double> values[] = {{"loss", 2.5}};
    board.scalars(7, 1001.5, values);
  }
  std::filesystem::path file;
  for (const auto& entry : std::filesystem::directory_iterator(folder.path())) file = entry.path();
  EXPECT_THAT(file.filename().string(), HasSubstr("events.out.tfevents.1000."));
  const std::string bytes = io::read_file(file);
  std::vector<std::string> events;
  for (size_t at = 0; at < bytes.size();) {
    uint64_t length = 0;
    uint32_t sum = 0;
    std::memcpy(&length, bytes.data() + at, 8);
    const std::string event = bytes.substr(at + 12, length);
    std::memcpy(&sum, bytes.data() + at + 12 + length, 4);
    const uint32_t crc = crc32c(event);
    EXPECT_EQ(sum, (crc >> 15 | crc << 17) + 0xA282EAD8u);
    events.push_back(event);
    at += 16 + length;
  }
  ASSERT_THAT(events, SizeIs(2));
  EXPECT_THAT(events[0], HasSubstr("brain.Event:2"));
  // Event{wall_time, step: 7, summary {value {tag: "loss", simple_value: 2.5}}}
  const std::string expected("\x10\x07\x2a\x0d\x0a\x0b\x0a\x04loss\x15\x00\x00\x20\x40", 17);
  EXPECT_EQ(events[1].substr(9), expected);
}

TEST(Report, HasCurvesAndSamples) {
  test::Folder folder;
  RunFolder run(folder / "run");
  EXPECT_THAT(test::error_of([&] { write_report(run.path()); }), HasSubstr("metrics.jsonl: no such file"));
  for (int64_t step = 1; step <= 2000; ++step) {
    io::json::object line{{"step", step}, {"loss", 5.0 / static_cast<double>(step)}, {"grad/norm", 0.1}};
    if (step % 100 == 0) line["held_out/loss"] = 1.0;
    if (step == 3) line["loss"] = "nan";
    run.append(run.metrics_file(), line);
  }
  run.append(run.samples_file(), {{"step", 5}, {"prompt", "1<2?"}, {"text", "<think>yes</think> & so"}});
  write_report(run.path());
  const std::string page = io::read_file(run.path() / "report.html");
  EXPECT_THAT(page, HasSubstr("<title>Loss</title>"));
  EXPECT_THAT(page, HasSubstr("held out"));
  EXPECT_THAT(page, HasSubstr("Gradient norm"));
  EXPECT_THAT(page, Not(HasSubstr("Reward")));
  EXPECT_THAT(page, HasSubstr("&lt;think&gt;yes&lt;/think&gt; &amp; so"));
  EXPECT_THAT(page, Not(HasSubstr("nan")));
  EXPECT_THAT(page, Not(HasSubstr("<script>")));
  EXPECT_THAT(report_page(run.path(), true), HasSubstr("<script>"));
  EXPECT_THAT(report_body(folder / "other"), HasSubstr("no step is done yet"));
  EXPECT_LT(page.size(), 100'000u);
}

TEST(Report, OfReinforcementLearning) {
  test::Folder folder;
  RunFolder run(folder / "run");
  for (int64_t step = 0; step <= 20; ++step) {
    io::json::object line{{"step", step}};
    if (step > 0) line["reward/mean"] = 0.01 * static_cast<double>(step);
    if (step % 10 == 0) line["heldout/sum.greedy"] = 0.5, line["heldout/sum.avg"] = 0.25;
    if (step == 7) line["alarms"] = io::json::array{"entropy < 30%"};
    run.append(run.metrics_file(), line);
  }
  const std::string body = report_body(run.path());
  EXPECT_THAT(body, HasSubstr("20 batches; reward 0.010 in the first, 0.200 in the last"));
  EXPECT_THAT(body, HasSubstr("sum.greedy 0.500 &rarr; 0.500"));
  EXPECT_THAT(body, HasSubstr("<title>Held-out score</title>"));
  EXPECT_THAT(body, HasSubstr(">sum.avg</text>"));
  EXPECT_THAT(body, HasSubstr("Alarms: 1"));
  EXPECT_THAT(body, HasSubstr("step 7: entropy &lt; 30%"));
}

}  // namespace
}  // namespace minimax::train
