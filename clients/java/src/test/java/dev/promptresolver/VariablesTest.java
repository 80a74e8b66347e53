package dev.promptresolver;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
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
  @DisplayName("have nothing that JSON lacks, and the error tells no value")
  void otherThings() {
    var failure =
        assertThrows(
            IllegalArgumentException.class, () -> Variables.of(Map.of("file", new Object())));

    assertEquals(
        "expected a string, number, boolean, list or map, got a java.lang.Object",
        failure.getMessage());
  }
}
