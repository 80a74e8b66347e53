package dev.promptresolver;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.Value;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

@DisplayName("Variables")
final class VariablesTest {
  @Test
  @DisplayName("are JSON's values")
  void values() {
    var nested = new HashMap<String, Object>();
    nested.put("nothing", null);
    nested.put("list", Arrays.asList(1, "two", true, null));
    var fields = Variables.of(Map.of("text", "é", "half", 0.5, "nested", nested)).getFieldsMap();

    assertEquals("é", fields.get("text").getStringValue());
    assertEquals(0.5, fields.get("half").getNumberValue());
    var inner = fields.get("nested").getStructValue().getFieldsMap();
    assertTrue(inner.get("nothing").hasNullValue());
    var list = inner.get("list").getListValue().getValuesList();
    assertEquals(1.0, list.get(0).getNumberValue());
    assertEquals("two", list.get(1).getStringValue());
    assertTrue(list.get(2).getBoolValue());
    assertTrue(list.get(3).hasNullValue());
  }

  @ParameterizedTest
  @ValueSource(longs = {(1L << 53) + 1, -(1L << 53) - 1, Long.MAX_VALUE, Long.MIN_VALUE})
  @DisplayName("have no integers that would arrive as others")
  void largeIntegers(long integer) {
    assertThrows(IllegalArgumentException.class, () -> Variables.of(Map.of("n", integer)));
  }

  @Test
  @DisplayName("have no text that would arrive as another")
  void halfCharacters() {
    var smile = "\uD83D\uDE00";
    var failure =
        assertThrows(
            IllegalArgumentException.class,
            () -> Variables.of(Map.of("cut", smile.substring(0, 1))));

    assertEquals(
        "variables.cut: expected text that is Unicode, got half a surrogate pair",
        failure.getMessage());
    assertEquals(smile, Variables.of(Map.of("n", smile)).getFieldsOrThrow("n").getStringValue());
  }

  @Test
  @DisplayName("have nothing that JSON lacks, and the error tells no value")
  void otherThings() {
    var failure =
        assertThrows(
            IllegalArgumentException.class, () -> Variables.of(Map.of("file", new Object())));

    assertEquals(
        "variables.file: expected a string, number, boolean, list or map, got a java.lang.Object",
        failure.getMessage());
  }

  @ParameterizedTest
  @MethodSource("largeNumbers")
  @DisplayName("have no number of any class that would arrive as another one")
  void largeNumbers(Number number) {
    var failure =
        assertThrows(IllegalArgumentException.class, () -> Variables.of(Map.of("n", number)));

    assertEquals(
        "variables.n: expected an integer of at most 2^53; send larger ones as strings",
        failure.getMessage());
  }

  static List<Number> largeNumbers() {
    var large = (1L << 53) + 1;
    return List.of(
        BigInteger.valueOf(large),
        BigInteger.valueOf(-large),
        new AtomicLong(large),
        new BigDecimal("1e400"));
  }

  @Test
  @DisplayName("have numbers of all classes, as their digits tell")
  void numbers() {
    var many = 1L << 53;
    var numbers =
        List.<Number>of(
            (byte) 1, many, BigInteger.valueOf(-many), new AtomicLong(many), 0.1f,
            new BigDecimal("0.10"), 1e300);

    var list = Variables.of(Map.of("list", numbers)).getFieldsOrThrow("list").getListValue();

    assertEquals(
        List.of(1.0, (double) many, (double) -many, (double) many, 0.1, 0.1, 1e300),
        list.getValuesList().stream().map(Value::getNumberValue).toList());
  }

  @Test
  @DisplayName("have no path: it would be a list of paths without end")
  void path() {
    var nested = Map.of("files", List.of("a", Path.of("b")));

    var failure =
        assertThrows(IllegalArgumentException.class, () -> Variables.of(Map.of("of", nested)));

    assertTrue(failure.getMessage().startsWith("variables.of.files[1]: expected a string, "));
  }

  @Test
  @DisplayName("have names that are strings, at any depth")
  void names() {
    var unnamed = new HashMap<String, Object>();
    unnamed.put(null, 1);
    var numbered = Map.of("nested", Map.of(1, 2));

    var absent = assertThrows(IllegalArgumentException.class, () -> Variables.of(unnamed));
    var other = assertThrows(IllegalArgumentException.class, () -> Variables.of(numbered));

    assertEquals("variables: expected names that are strings, got null", absent.getMessage());
    assertEquals(
        "variables.nested: expected names that are strings, got a java.lang.Integer",
        other.getMessage());
  }
}
